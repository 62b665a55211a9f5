/*
id = "FGA103"
name = "failing-and-silent"
title = "The function failed in the last day, and failed events are lost"
area = "reliability"
severity = "high"
subject = "urn"
needs = ["functions", "function_facts"]
applies = "is_known"
why = "Executions failed in the last day, and no failure destination receives the events."
fix = "Set on_failure, then read the function's log for the failures of the last day."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
assumes = "fail_count counts asynchronous invocations too; the vendor does not say."
source = "API reference, ListFunctions, read 2026-11-28"
*/
SELECT
    s.id, s.subject,
    CASE WHEN has_failure_destination THEN false ELSE fail_count > 0 END AS fails,
    CASE WHEN has_facts THEN 'not_stated' ELSE 'facts_missing' END AS why_unknown,
    {'fail_count': fail_count, 'status': status} AS evidence
FROM subjects AS s LEFT JOIN facts USING (id)
