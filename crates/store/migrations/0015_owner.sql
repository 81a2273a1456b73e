-- Whose an API token is: the passkey of the person who made it. What that person may do no more, the token may not either.

ALTER TABLE api_token ADD COLUMN owner_key TEXT;

-- Of those made before only the name is known. Where that leads to nobody the token is nobody's: an empty key is no passkey.
UPDATE api_token SET owner_key = coalesce((
    SELECT key FROM member WHERE owner = 'person "' || member.name || '"' ORDER BY removed IS NOT NULL, created DESC LIMIT 1
), '') WHERE owner LIKE 'person %';
