-- The tables of the graph that rules read, from the arrays that Python computes; -1 is no node.

CREATE TABLE cycle_list AS
SELECT type, n.urn AS component, certainty, m.kind, size, members
FROM cycle_rows AS m JOIN graph_nodes AS n ON n.node = m.component;

CREATE TABLE cycles AS
SELECT
    n.urn AS subject, s.urn AS success_cycle, f.urn AS failure_cycle, a.urn AS alias_cycle,
    v.open_by_success >= 0 AS reaches_unknown_by_success, v.open_node >= 0 AS reaches_unknown,
    coalesce(os.urn, o.urn) AS unknown_urn, coalesce(os.why_unknown, o.why_unknown) AS why_unknown
FROM graph_values AS v
JOIN graph_nodes AS n USING (node)
LEFT JOIN graph_nodes AS s ON s.node = v.success_cycle
LEFT JOIN graph_nodes AS f ON f.node = v.failure_cycle
LEFT JOIN graph_nodes AS a ON a.node = v.alias_cycle
LEFT JOIN graph_nodes AS os ON os.node = v.open_by_success
LEFT JOIN graph_nodes AS o ON o.node = v.open_node
WHERE n.is_subject AND greatest(v.success_cycle, v.failure_cycle, v.alias_cycle, v.open_by_success, v.open_node) >= 0;

CREATE TABLE chains AS
SELECT
    n.urn AS subject, CASE WHEN v.most < 'infinity'::DOUBLE THEN v.length END AS length,
    v.most = 'infinity'::DOUBLE AS is_infinite, v.is_bound = 1 AS is_lower_bound, v.called_by
FROM graph_values AS v JOIN graph_nodes AS n USING (node)
WHERE n.is_subject;

CREATE TABLE envelope AS
WITH values_of AS (
    SELECT n.urn AS subject, v.fewest, v.most, v.is_bound, o.why_open_attempts AS why_unknown
    FROM graph_values AS v JOIN graph_nodes AS n USING (node) LEFT JOIN graph_nodes AS o ON o.node = v.open_attempts
)
SELECT
    s.subject, coalesce(v.fewest, 1.0) AS fewest_invocations,
    coalesce(v.most, 1 + greatest(coalesce(s.retries, 0), 0))::DOUBLE AS most_invocations,
    coalesce(v.most = 'infinity'::DOUBLE, false) AS is_infinite,
    coalesce(v.is_bound = 1, s.retries IS NULL) AS is_lower_bound,
    (1 + s.retries) * f.timeout * f.memory_size / 1024 AS gb_s_per_failing_event,
    coalesce(v.why_unknown, s.why_unknown, s.why_null) AS why_unknown
FROM subjects AS s LEFT JOIN values_of AS v USING (subject) LEFT JOIN facts AS f USING (subject);

CREATE TABLE exposure AS
SELECT
    s.subject, 1 + s.retries AS most_attempts, s.age_s AS dropped_after_outage_s,
    t.type || ' ' || coalesce(t.place, '(unreadable)') AS failure_goes_to,
    s.has_failure_destination OR s.status_log OR coalesce(f.log_group_id, '') <> '' AS is_visible,
    f.fail_count, s.retries IS NULL OR s.age_s IS NULL AS is_lower_bound
FROM subjects AS s
LEFT JOIN targets AS t ON t.subject = s.subject AND t.event = 'on_failure'
LEFT JOIN facts AS f ON f.subject = s.subject;

DROP TABLE graph_values;
DROP TABLE graph_edges;
DROP TABLE graph_nodes;
DROP TABLE cycle_rows;
