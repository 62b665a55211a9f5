/*
id = "FGA403"
name = "other-region"
title = "Results are sent to a region that is not allowed"
area = "security"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "len($allowed_regions) > 0 AND type IN ('FunctionGraph', 'SMN')"
why = "The events leave the regions in which they may be kept."
fix = "Choose a destination in an allowed region."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:ALLOWED_REGION:PROJECT:TOPIC" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.allowed_regions]
default = []
meaning = "regions in which events may be kept; empty: the rule does not apply"
*/
SELECT
    id, subject, event, place AS target, NOT list_contains($allowed_regions, target_region) AS fails,
    'param_unreadable' AS why_unknown, {'target_region': target_region, 'allowed_region': $allowed_regions[1]} AS evidence
FROM targets
