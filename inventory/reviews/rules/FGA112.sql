/*
id = "FGA112"
name = "version-calls-latest"
title = "A pinned version sends events to latest"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type = 'FunctionGraph' AND qualifier <> 'latest' AND NOT is_alias(subject)"
why = "The version is fixed, but the function that receives its results changes with each deployment."
fix = "Send to a version or to an alias of the target."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "FunctionGraph"
  param       = jsonencode({ func_urn = "TARGET_FUNCTION:VERSION" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    id, subject, event, target_urn AS target, ends_with(target_urn, ':latest') AS fails, 'param_unreadable' AS why_unknown,
    {'target_function': function_of(target_urn)} AS evidence
FROM targets
