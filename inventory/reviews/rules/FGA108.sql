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
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_failure {
  destination = "FunctionGraph"
  param       = jsonencode({ func_urn = "urn:fss:REGION:PROJECT_ID:function:PACKAGE:NAME:latest" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    id, subject, event, target_urn AS target, is_gone AS fails, why_existence_unknown AS why_unknown,
    {'target_status': target_status} AS evidence
FROM targets
