/*
id = "FGA109"
name = "success-destination-gone"
title = "The success destination does not exist"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "event = 'on_success' AND type = 'FunctionGraph'"
why = "Results are sent to a function that does not exist: the next step of the work never runs."
fix = "Correct func_urn in on_success, or create the function again."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    id, subject, event, target_urn AS target,
    CASE WHEN target_status <> 'not_a_function_urn' THEN NOT target_exists END AS fails,
    CASE WHEN target_status = 'not_a_function_urn' THEN 'param_unreadable' ELSE why_existence_unknown END AS why_unknown,
    {'target_status': target_status} AS evidence
FROM targets
