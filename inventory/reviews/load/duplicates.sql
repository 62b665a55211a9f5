-- A function without qualifier and its :latest are one subject: the better answer is kept.

CREATE TABLE stored.left_out AS
SELECT
    CASE WHEN is_worse THEN latest ELSE bare END AS id,
    CASE WHEN is_worse THEN subject ELSE function_of(subject) END AS function_urn
FROM (
    SELECT
        bare.id AS bare, latest.id AS latest, subject, answer_rank(bare.status) < answer_rank(latest.status) AS is_worse
    FROM stored.urns AS bare JOIN stored.urns AS latest USING (subject)
    WHERE bare.is_bare AND NOT latest.is_bare
);

DELETE FROM stored.urns WHERE id IN (SELECT id FROM stored.left_out);
