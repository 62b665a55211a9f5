/*
id = "FGA305"
name = "shared-prefix"
title = "Many functions write to one bucket and prefix"
area = "cost"
severity = "low"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type = 'OBS'"
why = "The objects of many functions are mixed: no one can expire or bill them by owner."
fix = "Give each package a prefix of its own."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_functions]
default = 20
unit = "functions"
meaning = "more functions than this are many"
*/
WITH counts AS (
    SELECT place, count(DISTINCT function_hash) AS functions FROM targets WHERE type = 'OBS' GROUP BY place
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
