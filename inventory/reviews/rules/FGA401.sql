/*
id = "FGA401"
name = "no-agency"
title = "A destination is set, but the function has no agency"
area = "security"
severity = "high"
subject = "urn"
needs = ["functions", "destinations", "function_facts"]
applies = "has_success_destination OR has_failure_destination"
why = "The service delivers results with the function's agency. Without one nothing can be delivered."
fix = "Give the function an agency with rights on the destination."
terraform = '''
# in resource "huaweicloud_fgs_function"
agency = "AGENCY"
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25; API reference, ListFunctions, read 2026-11-28"
*/
SELECT
    s.id, s.subject, xrole = '' AS fails, CASE WHEN has_facts THEN 'not_stated' ELSE 'facts_missing' END AS why_unknown,
    {'xrole': xrole} AS evidence
FROM subjects AS s LEFT JOIN facts USING (id)
