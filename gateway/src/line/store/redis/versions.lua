-- Every stored version of the rooms.
--
-- KEYS: versions (hash: number -> "made text").

return redis.call('HGETALL', KEYS[1])
