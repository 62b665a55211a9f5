/*
id = "FGA106"
name = "short-age"
title = "Events expire early"
area = "reliability"
severity = "low"
subject = "urn"
needs = ["functions"]
applies = "is_known"
why = "An event that waits longer than its age is dropped, for example during throttling or a short outage."
fix = "Raise max_async_event_age_in_seconds above the outages that the function must survive."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
max_async_event_age_in_seconds = LEAST_AGE_S
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.short_age_s]
default = 300
unit = "s"
meaning = "an event age below this is short"
*/
SELECT id, subject, age_s < $short_age_s AS fails, why_null AS why_unknown, {'age_s': age_s, 'least_age_s': $short_age_s} AS evidence
FROM subjects
