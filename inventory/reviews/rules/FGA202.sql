/*
id = "FGA202"
name = "failure-cycle"
title = "Failures run in a cycle"
area = "reliability"
severity = "high"
subject = "cycle"
needs = ["functions", "destinations", "cycles"]
applies = "is_known"
why = "A failing event returns to the function that sent it and is tried again without end."
fix = "Send failures to SMN or OBS instead of a function of the cycle."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration" of one function of the cycle
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    s.id, s.subject, CASE WHEN c.failure_id = s.id THEN s.subject ELSE '' END AS component,
    CASE WHEN c.failure_id IS NOT NULL THEN true WHEN NOT coalesce(c.reaches_unknown, false) THEN false END AS fails,
    c.why_unknown, {'urns': l.members, 'size': l.size, 'kind': l.kind, 'unknown_urn': c.unknown_urn} AS evidence
FROM subjects AS s
LEFT JOIN cycles AS c USING (id)
LEFT JOIN cycle_list AS l ON l.type = 'failure' AND l.component_id = c.failure_id
