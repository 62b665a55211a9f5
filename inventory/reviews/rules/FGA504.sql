/*
id = "FGA504"
name = "unused-version"
title = "A version that no alias points to has a configuration"
area = "hygiene"
severity = "low"
subject = "urn"
needs = ["functions", "aliases"]
applies = "status = 'configured' AND qualifier_type = 'version' AND qualifier <> 'latest'"
why = "The configuration is old and no alias runs the version: it is likely to be forgotten."
fix = "Delete the configuration, or the version. Terraform deletes only what its state has."
command = '''
hcloud FunctionGraph DeleteFunctionAsyncInvokeConfig --cli-region=REGION \
  --project_id=PROJECT_ID --function_urn=FUNCTION_URN
'''
assumes = "No one invokes the version by its number."
source = "API reference, ListVersionAliases, read 2026-11-28"

[parameters.max_age_days]
default = 90
unit = "d"
meaning = "an older configuration is old"
*/
SELECT
    s.id, s.subject,
    CASE
        WHEN s.subject IN (SELECT version_urn FROM alias_of) THEN false
        ELSE s.last_modified < (SELECT finished FROM run) - to_seconds($max_age_days * 86400e0)
    END AS fails,
    'not_stated' AS why_unknown, {'last_modified': strftime(s.last_modified, '%Y-%m-%dT%H:%M:%SZ')} AS evidence
FROM subjects AS s
