-- Each destination is joined to its URN and to the URN that it leads to while it is loaded: it is stored once.

CREATE TABLE stored.destinations AS
WITH named AS (
    SELECT
        *, canonical(function_urn) AS subject,
        CASE WHEN destination = 'FunctionGraph' AND is_function_urn(target_function_urn)
            THEN canonical(target_function_urn) END AS target_urn,
        place_of(
            destination, subject, target_urn, obs_bucket, obs_prefix, smn_topic_urn, dis_stream_name
        ) AS place
    FROM incoming WHERE function_urn NOT IN (SELECT function_urn FROM stored.left_out)
)
SELECT
    d.line AS id, d.line, s.id AS subject_id, d.subject, d.event, d.destination AS type, d.param, d.param_valid,
    d.obs_bucket, d.obs_prefix, d.obs_expires_days, d.smn_topic_urn, d.dis_stream_name, d.extra,
    d.target_urn, t.id AS target_id, t.status IN ('configured', 'not_configured') AS target_known,
    CASE
        WHEN d.destination IS DISTINCT FROM 'FunctionGraph' THEN NULL
        WHEN d.target_urn IS NULL THEN 'not_a_function_urn'
        WHEN t.id = s.id THEN 'itself'
        ELSE coalesce(t.status, 'not_listed')
    END AS target_status,
    t.function_exists AS target_function_exists,
    CASE WHEN d.place IS NOT NULL THEN hash(d.destination, d.place) END AS place_hash
FROM named AS d
JOIN stored.urns AS s ON key_of(s.subject) = key_of(d.subject) AND s.status <> 'not_found'
LEFT JOIN stored.urns AS t ON key_of(t.subject) = key_of(d.target_urn);

UPDATE stored.destinations
SET target_status = CASE WHEN project_of(target_urn) IN (SELECT project FROM listed_projects) AND CASE
        WHEN is_alias(target_urn) THEN (SELECT lists_aliases FROM run)
        WHEN target_urn LIKE '%:latest' THEN true
        ELSE (SELECT lists_versions FROM run) END THEN 'gone'
    WHEN function_of(target_urn) IN (SELECT function_of(subject) FROM stored.urns) THEN 'other_qualifier'
    ELSE 'not_listed' END
WHERE target_status = 'not_listed';
