-- id of the subject; NULL: the function is only listed.

CREATE TABLE facts AS
SELECT
    s.id, canonical(f.function_urn) AS subject, true AS has_facts, f.* EXCLUDE (function_urn, line)
FROM incoming AS f LEFT JOIN stored.urns AS s ON key_of(s.subject) = key_of(canonical(f.function_urn)) AND s.status <> 'not_found';
