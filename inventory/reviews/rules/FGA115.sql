/*
id = "FGA115"
name = "crowded-failure-target"
title = "Many functions send failures to one target"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "event = 'on_failure'"
why = "One target that is full, slow or deleted hides the failures of all these functions."
fix = "Give each package or team a topic of its own."
terraform = '''
resource "huaweicloud_smn_topic" "failures" {
  name = "PACKAGE-failures"
}

# in resource "huaweicloud_fgs_async_invoke_configuration" of each function of the package
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = huaweicloud_smn_topic.failures.topic_urn })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_functions]
default = 50
unit = "functions"
meaning = "more functions than this are many"
*/
SELECT
    t.id, t.subject, t.event, t.place AS target,
    CASE
        WHEN p.failing_functions > $max_functions THEN true
        WHEN p.failing_functions + p.unknown_functions <= $max_functions THEN false
    END AS fails,
    CASE WHEN t.place_hash IS NULL THEN 'param_unreadable' ELSE p.why_unknown END AS why_unknown,
    {'functions': p.failing_functions} AS evidence
FROM targets AS t LEFT JOIN places AS p USING (place_hash)
