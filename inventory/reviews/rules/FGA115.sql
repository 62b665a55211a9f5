/*
id = "FGA115"
name = "crowded-failure-target"
title = "Many functions send failures to one target"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "event = 'on_failure'"
why = "One target that is full, slow or deleted hides the failures of all these functions."
fix = "Split the failures by package or team."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_functions]
default = 50
unit = "functions"
meaning = "more functions than this are many"
*/
WITH counts AS (
    SELECT place, count(DISTINCT function_hash) AS functions FROM targets WHERE event = 'on_failure' GROUP BY place
), unknown AS (
    SELECT count(DISTINCT function_of(subject)) AS functions FROM subjects WHERE NOT is_known
)
SELECT
    t.id, t.subject, t.event, t.place AS target,
    CASE
        WHEN c.functions > $max_functions THEN true
        WHEN c.functions + (SELECT functions FROM unknown) <= $max_functions THEN false
    END AS fails,
    CASE WHEN t.place IS NULL THEN 'param_unreadable' ELSE (SELECT min(why_unknown) FROM subjects WHERE NOT is_known) END
        AS why_unknown,
    {'functions': c.functions} AS evidence
FROM targets AS t LEFT JOIN counts AS c ON c.place = t.place
