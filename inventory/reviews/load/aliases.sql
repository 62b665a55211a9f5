CREATE TABLE alias_of AS  -- weight in percent; NULL: the rest
WITH named AS (
    SELECT
        function_of(function_urn) AS function, function_urn AS alias_urn, alias, version,
        TRY_CAST(additional_version_weights AS JSON) AS weights
    FROM incoming
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

INSERT INTO facts BY NAME  -- an alias of one version has that version's facts
SELECT s.id, a.alias_urn AS subject, v.* EXCLUDE (id, subject)
FROM facts AS v
JOIN (
    SELECT alias_urn, any_value(version_urn) AS version_urn FROM alias_of GROUP BY alias_urn HAVING count(*) = 1
) AS a ON a.version_urn = v.subject
LEFT JOIN stored.urns AS s ON s.subject = a.alias_urn AND s.status <> 'not_found';
