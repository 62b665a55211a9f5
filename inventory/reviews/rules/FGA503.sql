/*
id = "FGA503"
name = "longest-age"
title = "The event age is at its maximum"
area = "hygiene"
severity = "low"
subject = "urn"
needs = ["functions"]
applies = "is_known"
why = "Events may run a day late, after the reason for them has passed."
fix = "Set the age to the delay that is still useful."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
max_async_event_age_in_seconds = 3600
'''
source = "API reference of the PUT, read 2026-11-25"
*/
SELECT id, subject, age_s >= 86400 AS fails, why_null AS why_unknown, {'age_s': age_s} AS evidence
FROM subjects
