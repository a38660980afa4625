-- Somebody who signs in through his tenant's issuer has no account. What he invited to is judged as his when it is accepted (R79).
ALTER TABLE invitation ADD COLUMN inviter_user bigint NOT NULL DEFAULT 0;
