-- The graph of functions that send events to functions, with numbers for nodes in the order of their URNs.
-- Kinds of an edge: 0 on_success, 1 on_failure, 2 an alias to its version, 3 an alias to a version that it may point to.

CREATE TABLE named_edges AS
SELECT source, target, CASE event WHEN 'on_success' THEN 0 ELSE 1 END AS kind FROM edges
UNION ALL
SELECT DISTINCT e.target, a.version_urn, 2 FROM edges AS e JOIN alias_of AS a ON a.alias_urn = e.target
UNION ALL
SELECT DISTINCT e.target, v.source, 3
FROM edges AS e JOIN edges AS v ON function_of(v.source) = function_of(e.target) AND NOT is_alias(v.source)
WHERE e.via_alias AND e.target NOT IN (SELECT alias_urn FROM alias_of);

CREATE TABLE graph_nodes AS
WITH unreadable AS (
    SELECT DISTINCT subject FROM targets WHERE type = 'FunctionGraph' AND target_urn IS NULL
), named AS (
    SELECT source AS urn FROM named_edges UNION SELECT target FROM named_edges UNION SELECT subject FROM unreadable
), resolved AS (
    SELECT DISTINCT alias_urn AS urn FROM alias_of
), explained AS (
    SELECT
        n.urn, s.subject IS NOT NULL AS is_subject, s.retries, s.why_null, r.urn IS NOT NULL AS is_resolved,
        CASE
            WHEN is_alias(n.urn) AND r.urn IS NULL AND n.urn IN (SELECT target FROM edges) THEN 'alias_unresolved'
            WHEN s.subject IS NULL AND r.urn IS NULL THEN 'not_listed'
            WHEN NOT s.is_known THEN s.why_unknown
            WHEN u.subject IS NOT NULL THEN 'param_unreadable'
        END AS why_unknown
    FROM named AS n
    LEFT JOIN subjects AS s ON s.subject = n.urn
    LEFT JOIN resolved AS r ON r.urn = n.urn
    LEFT JOIN unreadable AS u ON u.subject = n.urn
)
SELECT
    row_number() OVER (ORDER BY urn) - 1 AS node, urn, is_subject, why_unknown, why_unknown IS NOT NULL AS is_open,
    CASE WHEN is_resolved AND retries IS NULL THEN 0 ELSE 1 + greatest(coalesce(retries, 0), 0) END AS attempts,
    retries IS NULL AND NOT is_resolved AS has_open_attempts, coalesce(why_unknown, why_null) AS why_open_attempts
FROM explained;

CREATE TABLE graph_edges AS
SELECT s.node AS source, t.node AS target, e.kind
FROM named_edges AS e JOIN graph_nodes AS s ON s.urn = e.source JOIN graph_nodes AS t ON t.urn = e.target;

DROP TABLE named_edges;
