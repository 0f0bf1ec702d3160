-- The format of the keys beside KEYS[1], as a text.
--
-- Format 1 kept a hash under that name. A gateway of that format fails at the present text (WRONGTYPE), instead
-- of beginning a line of its own beside it. FORMAT, a text, is put in front of this file.

-- An error with the format, if it is another one; else claims this one.
local function claim_format()
  local found = redis.pcall('GET', KEYS[1])
  if not found then
    redis.call('SET', KEYS[1], FORMAT)
  elseif type(found) == 'table' then
    local is_hash = string.find(found.err, 'WRONGTYPE', 1, true)
    return is_hash and redis.error_reply('FORMAT 1') or found
  elseif found ~= FORMAT then
    return redis.error_reply('FORMAT ' .. found)
  end
end

