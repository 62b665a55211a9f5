/*
id = "FGA402"
name = "other-project"
title = "Results are sent to another project"
area = "security"
severity = "high"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type IN ('FunctionGraph', 'SMN')"
why = "The events leave the project of the function, and the agency needs rights there."
fix = "Choose a destination in the function's own project, or check that the other project is meant."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    t.id, t.subject, t.event, t.place AS target, t.target_project_id <> t.project_id AS fails, 'param_unreadable' AS why_unknown,
    {'project_id': t.project_id, 'target_project_id': t.target_project_id, 'domain_id': own.domain_id,
        'target_domain_id': other.domain_id} AS evidence
FROM targets AS t
LEFT JOIN domains AS own ON own.project_id = t.project_id
LEFT JOIN domains AS other ON other.project_id = t.target_project_id
