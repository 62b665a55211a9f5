/*
id = "FGA104"
name = "no-retries"
title = "A failed event is not retried"
area = "reliability"
severity = "medium"
subject = "urn"
needs = ["functions"]
applies = "is_known"
why = "With zero retries one transient error is enough to lose the event or to send it to the failure destination."
fix = "Set max_async_retry_attempts to 1 or more, if the function can run twice for one event."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
max_async_retry_attempts = 3
'''
assumes = "The function can run twice for one event."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT id, subject, retries = 0 AS fails, why_null AS why_unknown, {'retries': retries} AS evidence
FROM subjects
