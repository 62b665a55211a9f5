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
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_success {
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
