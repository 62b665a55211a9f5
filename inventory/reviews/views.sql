-- The tables that rules read. Only this file and load/ know the columns of the exported tables, and which values are
-- unknown. Ids follow the order of the subjects.

-- What an earlier review may know and this one does not.
CREATE TABLE not_found AS SELECT subject FROM stored.urns WHERE status = 'not_found';
DELETE FROM stored.urns WHERE status = 'not_found';

CREATE VIEW subjects AS
SELECT
    id, subject, split_part(subject, ':', 3) AS region, split_part(subject, ':', 4) AS project_id,
    split_part(subject, ':', 6) AS package, split_part(subject, ':', 7) AS function_name,
    qualifier_of(subject) AS qualifier, CASE WHEN is_alias(subject) THEN 'alias' ELSE 'version' END AS qualifier_type,
    status, error_kind, status IN ('configured', 'not_configured') AS is_known,
    CASE status WHEN 'failed' THEN 'not_answered' WHEN 'not_attempted' THEN 'not_attempted' END AS why_unknown,
    retries, age_s, status_log,
    CASE status WHEN 'configured' THEN 'not_stated' WHEN 'not_configured' THEN 'default_unknown' END AS why_null,
    success_type, failure_type,
    CASE WHEN is_known THEN success_type IS NOT NULL END AS has_success_destination,
    CASE WHEN is_known THEN failure_type IS NOT NULL END AS has_failure_destination,
    created_time, last_modified, function_exists, extra, line AS row_number
FROM stored.urns;

CREATE TABLE domains AS  -- the account of a project, where the facts tell one
SELECT split_part(subject, ':', 4) AS project_id, min(domain_id) AS domain_id
FROM facts WHERE domain_id <> '' GROUP BY ALL HAVING count(DISTINCT domain_id) = 1;

CREATE VIEW targets AS
SELECT
    id, line AS destination_row, subject_id, subject, event, type, param, param_valid, obs_bucket, obs_prefix,
    obs_expires_days, smn_topic_urn, dis_stream_name, extra, target_urn, target_id, target_status, target_known,
    split_part(subject, ':', 3) AS region, split_part(subject, ':', 4) AS project_id,
    qualifier_of(subject) AS qualifier,
    CASE
        WHEN target_status IN ('not_found', 'gone', 'not_a_function_urn') THEN false
        WHEN target_status IN ('configured', 'itself') OR target_function_exists THEN true
    END AS target_exists,
    CASE
        WHEN target_status = 'other_qualifier' AND is_alias(target_urn) THEN 'alias_unresolved'
        WHEN target_status IN ('other_qualifier', 'not_listed') THEN 'not_listed'
        WHEN target_status = 'failed' THEN 'not_answered'
        WHEN target_status = 'not_attempted' THEN 'not_attempted'
        WHEN target_status = 'not_configured' THEN 'existence_unknown'
        WHEN target_status = 'not_a_function_urn' THEN 'param_unreadable'
    END AS why_existence_unknown,
    CASE WHEN target_status <> 'not_a_function_urn' THEN NOT target_exists END AS is_gone,
    place_of(type, subject, target_urn, obs_bucket, obs_prefix, smn_topic_urn, dis_stream_name) AS place, place_hash,
    CASE
        WHEN type = 'FunctionGraph' THEN split_part(target_urn, ':', 3)
        WHEN type = 'SMN' AND starts_with(smn_topic_urn, 'urn:smn:') THEN split_part(smn_topic_urn, ':', 3)
    END AS target_region,
    CASE
        WHEN type = 'FunctionGraph' THEN split_part(target_urn, ':', 4)
        WHEN type = 'SMN' AND starts_with(smn_topic_urn, 'urn:smn:') THEN split_part(smn_topic_urn, ':', 4)
    END AS target_project_id
FROM stored.destinations;

CREATE TABLE places AS  -- functions that send to one place, and those that may: their URNs are unknown
WITH senders AS (
    SELECT
        place_hash, any_value(id) AS id, hash(function_of(subject)) AS function, bool_or(event = 'on_failure') AS is_failing
    FROM targets WHERE place_hash IS NOT NULL GROUP BY place_hash, function
), counted AS (
    SELECT place_hash, any_value(id) AS id, count(*) AS functions, count(*) FILTER (is_failing) AS failing_functions
    FROM senders GROUP BY place_hash
)
SELECT
    c.place_hash, t.type, t.place, c.functions, c.failing_functions, u.functions AS unknown_functions, u.why_unknown
FROM counted AS c JOIN targets AS t USING (id), (
    SELECT count(DISTINCT function_of(subject)) AS functions, min(why_unknown) AS why_unknown
    FROM subjects WHERE NOT is_known
) AS u;

CREATE VIEW edges AS
SELECT
    subject_id AS source_id, subject AS source, target_id, target_urn AS target, event,
    coalesce(target_known, false) AS target_known, is_alias(target_urn) AS via_alias
FROM targets
WHERE target_urn IS NOT NULL AND target_exists IS DISTINCT FROM false;

CREATE TABLE stored.qualifiers AS  -- those of a function; its id is that of the first
SELECT
    min(id) AS id, count(*) AS qualifiers, count(*) FILTER (NOT is_known) AS unknown_qualifiers,
    min(row_number) AS row_number, min(why_unknown) AS why_unknown
FROM subjects GROUP BY function_of(subject);

CREATE VIEW function_list AS
SELECT
    id, function_of(s.subject) AS subject, s.region, s.project_id, s.package, s.function_name, q.row_number,
    q.qualifiers, q.unknown_qualifiers,
    q.unknown_qualifiers = 0 AND project_of(s.subject) IN (SELECT project FROM listed_projects)
        AND (SELECT lists_versions AND lists_aliases FROM run) AS is_complete,
    CASE WHEN q.unknown_qualifiers > 0 THEN q.why_unknown ELSE 'not_listed' END AS why_unknown
FROM stored.qualifiers AS q JOIN subjects AS s USING (id);

DROP TABLE stored.left_out;
DROP TABLE stored.defaults;
