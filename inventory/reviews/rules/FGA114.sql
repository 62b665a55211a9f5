/*
id = "FGA114"
name = "handler-without-destination"
title = "The failure handler loses its own failures"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "event = 'on_failure' AND type = 'FunctionGraph'"
why = "If the function that handles failures fails too, the event is lost: it has no failure destination of its own."
fix = "Set on_failure of the handler to an SMN topic or an OBS bucket."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration" of the failure handler
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    t.id, t.subject, t.event, t.target_urn AS target,
    CASE WHEN t.target_exists = false AND t.target_urn IS NOT NULL THEN false ELSE NOT h.has_failure_destination END AS fails,
    CASE
        WHEN t.target_urn IS NULL THEN 'param_unreadable'
        WHEN h.id IS NOT NULL THEN h.why_unknown
        ELSE 'not_listed'
    END AS why_unknown
FROM targets AS t LEFT JOIN subjects AS h ON h.id = t.target_id
