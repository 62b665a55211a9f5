/*
id = "FGA101"
name = "no-failure-destination"
title = "Failed events are lost silently"
area = "reliability"
severity = "high"
subject = "urn"
needs = ["functions"]
applies = "status = 'configured'"
why = "After the last retry the event is dropped. No one is notified unless on_failure is set."
fix = "Set on_failure to an SMN topic or an OBS bucket that someone watches."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
assumes = "The function is invoked asynchronously."
example = "A function with on_success to OBS and no on_failure."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT id, subject, NOT has_failure_destination AS fails, {'retries': retries, 'age_s': age_s} AS evidence
FROM subjects
