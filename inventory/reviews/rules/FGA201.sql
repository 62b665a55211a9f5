/*
id = "FGA201"
name = "success-cycle"
title = "Functions call each other without end"
area = "reliability"
severity = "critical"
subject = "cycle"
needs = ["functions", "destinations", "cycles"]
applies = "is_known"
why = "Each success calls the next function of the cycle: one event never ends, and each call costs money."
fix = "Remove one on_success destination of the cycle, or store its results instead."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration" of one function of the cycle
on_success {
  destination = "OBS"
  param       = jsonencode({ bucket = "BUCKET", prefix = "successes", expires = 30 })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    s.id, s.subject, CASE WHEN c.success_id = s.id THEN s.subject ELSE '' END AS component,
    CASE WHEN c.success_id IS NOT NULL THEN true WHEN NOT coalesce(c.reaches_unknown_by_success, false) THEN false END AS fails,
    c.why_unknown, {'urns': l.members, 'size': l.size, 'kind': l.kind, 'unknown_urn': c.unknown_urn} AS evidence
FROM subjects AS s
LEFT JOIN cycles AS c USING (id)
LEFT JOIN cycle_list AS l ON l.type = 'success' AND l.component_id = c.success_id
