/*
id = "FGA501"
name = "outside-documented-range"
title = "A value is outside a documented range"
area = "hygiene"
severity = "info"
subject = "urn"
needs = ["functions"]
applies = "status = 'configured'"
why = "The vendor's pages name different ranges: the value is not wrong, but may be refused at the next change."
fix = "Keep the value, or choose one that all pages allow."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
max_async_event_age_in_seconds = AGE_S_ON_ALL_PAGES
max_async_retry_attempts       = RETRIES_ON_ALL_PAGES
'''
source = "API reference of GET and PUT, user guide; read 2026-11-25"
*/
WITH pages AS (
    SELECT
        id, subject, age_s, retries,
        list_filter([
            CASE WHEN age_s NOT BETWEEN 1 AND 86400 THEN 'age: API reference of the PUT, 1 to 86400 s' END,
            CASE WHEN age_s NOT BETWEEN 60 AND 86400 THEN 'age: API reference of the GET, 60 to 86400 s' END,
            CASE WHEN retries NOT BETWEEN 0 AND 8 THEN 'retries: API reference of the GET, 0 to 8' END,
            CASE WHEN retries NOT BETWEEN 0 AND 3 THEN 'retries: API reference of the PUT and console, 0 to 3' END
        ], lambda page: page IS NOT NULL) AS outside,
        list_filter([
            CASE WHEN age_s BETWEEN 0 AND 86400 THEN 'age: first API page, 0 to 86400 s' END,
            CASE WHEN age_s BETWEEN 1 AND 86400 THEN 'age: API reference of the PUT, 1 to 86400 s' END,
            CASE WHEN retries BETWEEN 0 AND 8 THEN 'retries: API reference of the GET, 0 to 8' END
        ], lambda page: page IS NOT NULL) AS inside
    FROM subjects
)
SELECT
    id, subject, CASE WHEN len(outside) > 0 THEN true WHEN age_s IS NOT NULL AND retries IS NOT NULL THEN false END AS fails,
    'not_stated' AS why_unknown,
    {
        'age_s': age_s, 'retries': retries, 'outside_of': outside, 'inside_of': inside,
        'age_s_on_all_pages': CASE WHEN age_s IS NOT NULL THEN least(greatest(age_s, 60), 86400) END,
        'retries_on_all_pages': CASE WHEN retries IS NOT NULL THEN least(greatest(retries, 0), 3) END
    } AS evidence
FROM pages
