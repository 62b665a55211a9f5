-- Text that is part of the URN is not stored again.

CREATE TABLE stored.urns AS
SELECT
    line AS id, line, canonical(function_urn) AS subject, function_urn <> subject AS is_bare, status, error_kind,
    CASE status
        WHEN 'configured' THEN max_async_retry_attempts
        WHEN 'not_configured' THEN (SELECT retries FROM stored.defaults) END AS retries,
    CASE status
        WHEN 'configured' THEN max_async_event_age_in_seconds
        WHEN 'not_configured' THEN (SELECT age_s FROM stored.defaults) END AS age_s,
    CASE status
        WHEN 'configured' THEN enable_async_status_log
        WHEN 'not_configured' THEN (SELECT status_log FROM stored.defaults) END AS status_log,
    on_success_destination AS success_type, on_failure_destination AS failure_type,
    created_time, last_modified, function_exists, extra
FROM incoming;
