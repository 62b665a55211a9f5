-- The tables of the graph that rules read, from the numbers that Python computes; -1 is no node.

CREATE TABLE open_nodes AS
SELECT node, why_unknown, why_open_attempts FROM graph_nodes WHERE is_open OR has_open_attempts;
DROP TABLE graph_nodes;

CREATE TABLE component_names AS
SELECT DISTINCT component AS node, subject AS urn FROM cycle_members JOIN subjects ON subjects.id = component;

CREATE TABLE open_names AS
WITH named AS (
    SELECT open_by_success AS node FROM graph_values UNION SELECT open_node FROM graph_values
), names AS (
    SELECT id AS node, subject AS urn FROM subjects UNION ALL FROM other_nodes
)
SELECT node, urn, why_unknown FROM named JOIN names USING (node) JOIN open_nodes USING (node);

-- Views: a table would copy a million URNs.

-- A node has one name; DuckDB knows it by the grouping, and leaves out the joins that a rule does not need.
CREATE VIEW cycle_names AS SELECT node, any_value(urn) AS urn FROM component_names GROUP BY node;

CREATE VIEW cycles AS
SELECT
    v.node AS id, subject, s.urn AS success_cycle, f.urn AS failure_cycle, a.urn AS alias_cycle,
    CASE WHEN v.success_cycle >= 0 THEN v.success_cycle END AS success_id,
    CASE WHEN v.failure_cycle >= 0 THEN v.failure_cycle END AS failure_id,
    CASE WHEN v.alias_cycle >= 0 THEN v.alias_cycle END AS alias_id,
    open_by_success >= 0 AS reaches_unknown_by_success, open_node >= 0 AS reaches_unknown,
    coalesce(os.urn, o.urn) AS unknown_urn, coalesce(os.why_unknown, o.why_unknown) AS why_unknown
FROM graph_values AS v
JOIN subjects ON subjects.id = v.node
LEFT JOIN cycle_names AS s ON s.node = v.success_cycle
LEFT JOIN cycle_names AS f ON f.node = v.failure_cycle
LEFT JOIN cycle_names AS a ON a.node = v.alias_cycle
LEFT JOIN open_names AS os ON os.node = v.open_by_success
LEFT JOIN open_names AS o ON o.node = v.open_node
WHERE greatest(v.success_cycle, v.failure_cycle, v.alias_cycle, v.open_by_success, v.open_node) >= 0;

CREATE VIEW chains AS
SELECT
    subjects.id, subject, CASE WHEN isfinite(v.length) THEN v.length::BIGINT END AS length,
    isinf(v.length) AS is_infinite, v.is_bound AS is_lower_bound, v.called_by
FROM graph_values AS v JOIN subjects ON subjects.id = v.node
WHERE v.length > 1 OR v.called_by > 0;

CREATE VIEW envelope AS
SELECT
    s.id, s.subject, v.fewest AS fewest_invocations, v.most AS most_invocations, isinf(v.most) AS is_infinite,
    v.is_bound AS is_lower_bound, attempts(s.retries)::DOUBLE * f.timeout * f.memory_size / 1024 AS gb_s_per_failing_event,
    n.why_open_attempts AS why_unknown
FROM graph_values AS v
JOIN subjects AS s ON s.id = v.node
LEFT JOIN facts AS f ON f.id = s.id
LEFT JOIN open_nodes AS n ON n.node = v.open_attempts;

CREATE OR REPLACE VIEW exposure AS  -- no rule reads it
SELECT
    s.id, s.subject, attempts(s.retries) AS most_attempts, s.age_s AS dropped_after_outage_s,
    t.type || ' ' || coalesce(t.place, '(unreadable)') AS failure_goes_to,
    s.has_failure_destination OR s.status_log OR coalesce(f.log_group_id, '') <> '' AS is_visible,
    f.fail_count, s.retries IS NULL OR s.age_s IS NULL AS is_lower_bound
FROM subjects AS s
LEFT JOIN targets AS t ON t.subject_id = s.id AND t.event = 'on_failure'
LEFT JOIN facts AS f ON f.id = s.id;
