-- The tables that rules read. Only this file knows the columns of the exported tables (schema raw) and which values
-- are unknown. Ids follow the order of the subjects.

-- A function without qualifier and its :latest are one subject: the better answer is kept.
CREATE TABLE rows_left_out AS
SELECT CASE WHEN answer_rank(bare.status) < answer_rank(latest.status) THEN latest.function_urn ELSE bare.function_urn END
    AS function_urn
FROM raw.functions AS bare JOIN raw.functions AS latest ON latest.function_urn = bare.function_urn || ':latest'
WHERE bare.qualifier IS NULL;

CREATE TABLE urns AS
SELECT id, canonical(function_urn) AS urn, status, function_exists
FROM raw.functions WHERE function_urn NOT IN (FROM rows_left_out);

CREATE TABLE subjects AS
SELECT
    id, canonical(function_urn) AS subject, region, project_id, package, function_name,
    coalesce(qualifier, 'latest') AS qualifier, coalesce(qualifier_type, 'version') AS qualifier_type,
    status, error_kind, status IN ('configured', 'not_configured') AS is_known,
    CASE status WHEN 'failed' THEN 'not_answered' WHEN 'not_attempted' THEN 'not_attempted' END AS why_unknown,
    CASE status
        WHEN 'configured' THEN max_async_retry_attempts
        WHEN 'not_configured' THEN (SELECT retries FROM raw.defaults) END AS retries,
    CASE status
        WHEN 'configured' THEN max_async_event_age_in_seconds
        WHEN 'not_configured' THEN (SELECT age_s FROM raw.defaults) END AS age_s,
    CASE status
        WHEN 'configured' THEN enable_async_status_log
        WHEN 'not_configured' THEN (SELECT status_log FROM raw.defaults) END AS status_log,
    CASE status WHEN 'configured' THEN 'not_stated' WHEN 'not_configured' THEN 'default_unknown' END AS why_null,
    on_success_destination AS success_type, on_failure_destination AS failure_type,
    CASE WHEN status IN ('configured', 'not_configured') THEN on_success_destination IS NOT NULL END
        AS has_success_destination,
    CASE WHEN status IN ('configured', 'not_configured') THEN on_failure_destination IS NOT NULL END
        AS has_failure_destination,
    created_time, last_modified, function_exists, extra, line AS row_number
FROM raw.functions
WHERE status <> 'not_found' AND function_urn NOT IN (FROM rows_left_out);

CREATE TABLE alias_of AS  -- weight in percent; NULL: the rest
WITH named AS (
    SELECT
        function_of(function_urn) AS function, function_urn AS alias_urn, alias, version,
        TRY_CAST(additional_version_weights AS JSON) AS weights
    FROM raw.aliases
), additional AS (
    SELECT function, alias_urn, alias, unnest(json_keys(weights)) AS version, weights
    FROM named WHERE json_type(weights) = 'OBJECT'
), weighted AS (
    SELECT
        function, alias_urn, alias, version,
        TRY_CAST(json_extract_string(weights, '/' || replace(replace(version, '~', '~0'), '/', '~1')) AS DOUBLE) AS weight
    FROM additional
)
SELECT alias_urn, function, alias, function || ':' || version AS version_urn, weight FROM weighted WHERE weight > 0
UNION ALL
SELECT alias_urn, function, alias, function || ':' || version, NULL FROM named WHERE version <> '';

CREATE TABLE facts AS  -- id of the subject; NULL: only listed
WITH of_versions AS (
    SELECT
        canonical(function_urn) AS subject, true AS has_facts,
        * EXCLUDE (function_urn, region, project_id, package, function_name, qualifier, version, id, line)
    FROM raw.function_facts
), of_aliases AS (  -- an alias of one version has that version's facts
    SELECT a.alias_urn AS subject, v.* EXCLUDE (subject)
    FROM (
        SELECT alias_urn, any_value(version_urn) AS version_urn FROM alias_of GROUP BY alias_urn HAVING count(*) = 1
    ) AS a JOIN of_versions AS v ON v.subject = a.version_urn
), named AS (
    FROM of_versions UNION ALL BY NAME FROM of_aliases
)
SELECT s.id, named.* FROM named LEFT JOIN subjects AS s USING (subject);

CREATE TABLE domains AS  -- the account of a project, where the facts tell one
SELECT split_part(subject, ':', 4) AS project_id, min(domain_id) AS domain_id
FROM facts WHERE domain_id <> '' GROUP BY ALL HAVING count(DISTINCT domain_id) = 1;

CREATE TABLE calls AS
WITH called AS (
    SELECT
        id, canonical(function_urn) AS subject,
        CASE WHEN is_function_urn(target_function_urn) THEN canonical(target_function_urn) END AS target_urn
    FROM raw.destinations
    WHERE destination = 'FunctionGraph' AND function_urn NOT IN (FROM rows_left_out)
), looked_up AS (
    SELECT called.*, urns.id AS target_id, urns.status, urns.function_exists
    FROM called LEFT JOIN urns ON urns.urn = called.target_urn
)
SELECT
    id, target_urn, target_id, function_exists,
    CASE
        WHEN target_urn IS NULL THEN 'not_a_function_urn'
        WHEN target_urn = subject THEN 'itself'
        WHEN status IS NOT NULL THEN status
        WHEN project_of(target_urn) IN (SELECT project FROM raw.listed_projects) AND CASE
            WHEN is_alias(target_urn) THEN (SELECT lists_aliases FROM run)
            WHEN target_urn LIKE '%:latest' THEN true
            ELSE (SELECT lists_versions FROM run) END THEN 'gone'
        ELSE 'not_listed'
    END AS status
FROM looked_up;

UPDATE calls SET status = 'other_qualifier'
WHERE status = 'not_listed' AND function_of(target_urn) IN (SELECT function_of(urn) FROM urns);

CREATE TABLE targets AS
WITH resolved AS (
    SELECT
        d.id, d.line AS destination_row, s.id AS subject_id, s.subject, d.event, d.destination AS type, d.param,
        d.param_valid,
        d.obs_bucket, d.obs_prefix, d.obs_expires_days, d.smn_topic_urn, d.dis_stream_name, d.extra,
        c.target_urn, c.target_id, c.status AS target_status, c.function_exists
    FROM raw.destinations AS d
    JOIN subjects AS s ON s.subject = canonical(d.function_urn)
    LEFT JOIN calls AS c ON c.id = d.id
    WHERE d.function_urn NOT IN (FROM rows_left_out)
)
SELECT
    * EXCLUDE (function_exists),
    split_part(subject, ':', 3) AS region, split_part(subject, ':', 4) AS project_id,
    ltrim(split_part(subject, ':', 8), '!') AS qualifier, hash(function_of(subject)) AS function_hash,
    CASE
        WHEN target_status IN ('not_found', 'gone', 'not_a_function_urn') THEN false
        WHEN target_status IN ('configured', 'itself') OR function_exists THEN true
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
    CASE type
        WHEN 'FunctionGraph' THEN target_urn
        WHEN 'OBS' THEN 'obs://' || obs_bucket || '/' || coalesce(obs_prefix, '')
        WHEN 'SMN' THEN smn_topic_urn
        WHEN 'DIS' THEN 'dis:' || split_part(subject, ':', 3) || ':' || split_part(subject, ':', 4) || ':' || dis_stream_name
    END AS place,
    CASE
        WHEN type = 'FunctionGraph' THEN split_part(target_urn, ':', 3)
        WHEN type = 'SMN' AND starts_with(smn_topic_urn, 'urn:smn:') THEN split_part(smn_topic_urn, ':', 3)
    END AS target_region,
    CASE
        WHEN type = 'FunctionGraph' THEN split_part(target_urn, ':', 4)
        WHEN type = 'SMN' AND starts_with(smn_topic_urn, 'urn:smn:') THEN split_part(smn_topic_urn, ':', 4)
    END AS target_project_id
FROM resolved;

CREATE TABLE places AS  -- functions that send to one place, and those that may: their URNs are unknown
SELECT
    type, place, count(DISTINCT function_hash) AS functions,
    count(DISTINCT function_hash) FILTER (event = 'on_failure') AS failing_functions, any_value(u.functions) AS unknown_functions,
    any_value(u.why_unknown) AS why_unknown
FROM targets, (
    SELECT count(DISTINCT function_of(subject)) AS functions, min(why_unknown) AS why_unknown
    FROM subjects WHERE NOT is_known
) AS u
WHERE place IS NOT NULL GROUP BY type, place;

CREATE TABLE edges AS
SELECT
    t.subject_id AS source_id, t.subject AS source, s.id AS target_id, t.target_urn AS target, t.event,
    coalesce(s.is_known, false) AS target_known, is_alias(t.target_urn) AS via_alias
FROM targets AS t LEFT JOIN subjects AS s ON s.id = t.target_id
WHERE t.target_urn IS NOT NULL AND t.target_exists IS DISTINCT FROM false;

CREATE TABLE function_list AS
SELECT
    min(id) AS id, function_of(subject) AS subject,
    any_value(region) AS region, any_value(project_id) AS project_id, any_value(package) AS package,
    any_value(function_name) AS function_name, min(row_number) AS row_number,
    count(*) AS qualifiers, count(*) FILTER (NOT is_known) AS unknown_qualifiers,
    count(*) FILTER (NOT is_known) = 0
        AND (any_value(region) || '/' || any_value(project_id)) IN (SELECT project FROM raw.listed_projects)
        AND (SELECT lists_versions AND lists_aliases FROM run) AS is_complete,
    CASE WHEN count(*) FILTER (NOT is_known) > 0 THEN min(why_unknown) ELSE 'not_listed' END AS why_unknown
FROM subjects
GROUP BY function_of(subject);

-- What an earlier review may know and this one does not.
CREATE TABLE not_found AS SELECT urn AS subject FROM urns WHERE status = 'not_found';
CREATE TABLE listed_projects AS FROM raw.listed_projects;

DROP SCHEMA raw CASCADE;
DROP TABLE rows_left_out;
DROP TABLE calls;
DROP TABLE urns;
