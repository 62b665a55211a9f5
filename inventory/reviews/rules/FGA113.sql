/*
id = "FGA113"
name = "qualifiers-disagree"
title = "The version behind an alias lacks the failure destination of latest"
area = "reliability"
severity = "high"
subject = "function"
needs = ["functions", "aliases"]
applies = "subject IN (SELECT function FROM alias_of)"
why = "latest reports failures, but the version that the alias runs does not."
fix = "Set on_failure for that version too, or move the alias."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration" of the version
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:REGION:PROJECT_ID:TOPIC" })
}
'''
source = "API reference, ListVersionAliases, read 2026-11-28"
*/
WITH behind AS (
    SELECT
        a.function AS subject, a.alias, a.version_urn, v.has_failure_destination, v.why_unknown, v.subject IS NULL AS is_unlisted
    FROM alias_of AS a LEFT JOIN subjects AS v ON v.subject = a.version_urn
), judged AS (
    SELECT
        subject, bool_or(NOT has_failure_destination) AS lacks, bool_or(has_failure_destination IS NULL) AS is_unknown,
        min(CASE WHEN is_unlisted THEN 'not_listed' ELSE why_unknown END) AS why_unknown,
        min(version_urn) FILTER (NOT has_failure_destination) AS version_urn
    FROM behind GROUP BY subject
)
SELECT
    f.id, f.subject,
    CASE
        WHEN NOT latest.has_failure_destination THEN false
        WHEN j.lacks THEN CASE WHEN latest.has_failure_destination THEN true END
        WHEN NOT j.is_unknown THEN false
    END AS fails,
    CASE
        WHEN latest.subject IS NULL THEN 'not_listed'
        WHEN NOT latest.is_known THEN latest.why_unknown
        ELSE j.why_unknown
    END AS why_unknown,
    {'version': j.version_urn} AS evidence
FROM function_list AS f
JOIN judged AS j ON j.subject = f.subject
LEFT JOIN subjects AS latest ON latest.subject = f.subject || ':latest'
