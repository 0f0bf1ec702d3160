-- Every version of the rooms that is kept.
--
-- KEYS: versions (hash: number -> "made text").

return redis.call('HGETALL', KEYS[1])
