-- The graph of functions that send events to functions. A node is the id of a subject; nodes of other URNs follow.
-- Kinds of an edge: 0 on_success, 1 on_failure, 2 an alias to its version, 3 an alias to a version that it may point to.

CREATE TABLE called_aliases AS SELECT DISTINCT target AS urn FROM edges WHERE via_alias;

CREATE TABLE alias_links AS
SELECT DISTINCT urn AS source, version_urn AS target, 2 AS kind
FROM called_aliases JOIN alias_of ON alias_of.alias_urn = called_aliases.urn
UNION ALL
SELECT DISTINCT called_aliases.urn, edges.source, 3
FROM called_aliases JOIN edges ON function_of(edges.source) = function_of(urn) AND NOT is_alias(edges.source)
WHERE urn NOT IN (SELECT alias_urn FROM alias_of);

CREATE TABLE other_nodes AS
SELECT (SELECT coalesce(max(id), 0) FROM subjects) + row_number() OVER (ORDER BY urn) AS node, urn
FROM (
    SELECT target AS urn FROM edges WHERE target_id IS NULL
    UNION SELECT target FROM alias_links WHERE target NOT IN (SELECT subject FROM subjects)
);

CREATE TABLE graph_nodes AS
WITH named AS (
    SELECT id AS node, subject AS urn, true AS is_subject, why_unknown, why_null, retries FROM subjects
    UNION ALL
    SELECT node, urn, false, 'not_listed', NULL, NULL FROM other_nodes
), resolved AS (
    SELECT DISTINCT alias_urn AS urn FROM alias_of
), unreadable AS (
    SELECT DISTINCT subject AS urn FROM targets WHERE type = 'FunctionGraph' AND target_urn IS NULL
), explained AS (
    SELECT
        node, is_subject, retries, why_null, resolved.urn IS NOT NULL AS is_resolved,
        CASE
            WHEN called_aliases.urn IS NOT NULL AND resolved.urn IS NULL THEN 'alias_unresolved'
            WHEN is_subject OR resolved.urn IS NULL
                THEN coalesce(why_unknown, CASE WHEN unreadable.urn IS NOT NULL THEN 'param_unreadable' END)
        END AS why_unknown
    FROM named
    LEFT JOIN called_aliases ON called_aliases.urn = named.urn
    LEFT JOIN resolved ON resolved.urn = named.urn
    LEFT JOIN unreadable ON unreadable.urn = named.urn
)
SELECT
    node, is_subject, why_unknown, why_unknown IS NOT NULL AS is_open,
    CASE WHEN is_resolved AND retries IS NULL THEN 0 ELSE attempts(greatest(coalesce(retries, 0), 0)) END AS attempts,
    retries IS NULL AND NOT is_resolved AS has_open_attempts, coalesce(why_unknown, why_null) AS why_open_attempts
FROM explained;

CREATE TABLE graph_edges AS
WITH of_edges AS (
    SELECT source_id AS source, coalesce(target_id, other_nodes.node) AS target, event = 'on_failure' AS is_failure
    FROM edges LEFT JOIN other_nodes ON edges.target_id IS NULL AND other_nodes.urn = edges.target
), names AS (
    SELECT id AS node, subject AS urn FROM subjects UNION ALL FROM other_nodes
)
SELECT source, target, is_failure::INTEGER AS kind FROM of_edges
UNION ALL
SELECT s.node, t.node, kind
FROM alias_links JOIN names AS s ON s.urn = alias_links.source JOIN names AS t ON t.urn = alias_links.target;

DROP TABLE called_aliases;
DROP TABLE alias_links;
