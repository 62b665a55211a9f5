/*
id = "FGA102"
name = "no-configuration"
title = "No asynchronous configuration: failed events are lost silently"
area = "reliability"
severity = "high"
severities = ["high", "medium"]
subject = "urn"
needs = ["functions", "destinations"]
applies = "status = 'not_configured'"
why = "No destination is set, so failed events are lost; retries are the default, which the pages contradict."
fix = "Create a configuration with retries, an event age and a failure destination."
terraform = '''
resource "huaweicloud_fgs_async_invoke_configuration" "this" {
  function_urn                   = "FUNCTION_URN"
  max_async_event_age_in_seconds = 3600
  max_async_retry_attempts       = 3
  on_failure {
    destination = "SMN"
    param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
  }
}
'''
assumes = "High: another function sends events to this one. Medium: the function may be invoked asynchronously."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    s.id, s.subject, true AS fails, CASE WHEN e.callers > 0 THEN 'high' ELSE 'medium' END AS severity,
    {'callers': coalesce(e.callers, 0), 'function_exists': s.function_exists} AS evidence
FROM subjects AS s
LEFT JOIN (SELECT target_id AS id, count(*) AS callers FROM edges GROUP BY target_id) AS e USING (id)
WHERE s.status = 'not_configured'
