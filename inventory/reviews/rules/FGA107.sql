/*
id = "FGA107"
name = "same-destination"
title = "Successes and failures go to the same place"
area = "reliability"
severity = "medium"
subject = "urn"
needs = ["functions", "destinations"]
applies = "has_success_destination AND has_failure_destination"
why = "A reader of the destination cannot tell lost work from finished work without reading each message."
fix = "Send failures to a place of their own."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    s.id, s.subject,
    CASE WHEN success.type <> failure.type THEN false ELSE success.place_hash = failure.place_hash END AS fails,
    'param_unreadable' AS why_unknown, failure.place AS target, {'type': failure.type} AS evidence
FROM subjects AS s
LEFT JOIN targets AS success ON success.subject_id = s.id AND success.event = 'on_success'
LEFT JOIN targets AS failure ON failure.subject_id = s.id AND failure.event = 'on_failure'
WHERE s.has_success_destination AND s.has_failure_destination
