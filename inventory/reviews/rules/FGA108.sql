/*
id = "FGA108"
name = "failure-destination-gone"
title = "The failure destination does not exist"
area = "reliability"
severity = "high"
subject = "destination"
needs = ["functions", "destinations"]
applies = "event = 'on_failure' AND type = 'FunctionGraph'"
why = "Failed events are sent to a function that does not exist: they are lost."
fix = "Correct func_urn in on_failure, or create the function again."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    id, subject, event, target_urn AS target,
    CASE WHEN target_status <> 'not_a_function_urn' THEN NOT target_exists END AS fails,
    CASE WHEN target_status = 'not_a_function_urn' THEN 'param_unreadable' ELSE why_existence_unknown END AS why_unknown,
    {'target_status': target_status} AS evidence
FROM targets
