/*
id = "FGA301"
name = "objects-never-expire"
title = "Objects are kept forever"
area = "cost"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type = 'OBS'"
why = "expires is 0: each event adds an object that is never deleted."
fix = "Set expires to the number of days that the objects are needed."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "OBS"
  param       = jsonencode({ bucket = "BUCKET", prefix = "PREFIX", expires = 30 })
}
'''
source = "API reference, read 2026-11-25"
*/
SELECT
    id, subject, event, place AS target, obs_expires_days = 0 AS fails,
    CASE WHEN param_valid THEN 'not_stated' ELSE 'param_unreadable' END AS why_unknown, {'expires_days': obs_expires_days} AS evidence
FROM targets
