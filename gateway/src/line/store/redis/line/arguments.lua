-- One transition of one line: `Line::apply` of policy/src/line.rs, its pacer and its repair, repeated in Lua.
--
-- The same arithmetic on the same doubles in the same order: every answer equals that of the Rust
-- code, and gateway/tests/line/redis_store.rs compares the two. A change of one is a change of
-- both; the Rust code gives the reasons. The script is these files, one after the other:
-- ../format, arguments, state, lease, shop, repair, pacer, line.
--
-- Input and output are one packed message each: `rules` and `batch` with the fields of `Rules` and `Batch`, and the
-- fields of `Reply` (../../redis.rs). Numbers of tickets come as texts: members of sets are texts, and a double holds
-- them exactly only below 2^53.
--
-- The cost of a line here does not depend on the number of waiters: claimants are kept by differences, so a
-- call works only on the changes of its batch. Out of scope: any key that is not in KEYS.

local LINE = KEYS[2] -- hash: counters, segments, bucket, pacer, recovery
local CAME = KEYS[3] -- numbers of recent cohorts whose holders came
local ACTIVE = KEYS[4] -- live passes by their end
local HERE = KEYS[5] -- claimants who wait at a gateway now, by number
local NAMED_BY = KEYS[6] -- the same, by gateway
local GONE = KEYS[7] -- claimants who were let go without a token, by when they were last named
local GATEWAYS = KEYS[8] -- gateways by the time of their last batch
local SETTLED = KEYS[9] -- list of "from to time": cohorts until their claim window ends
local REVOKED = KEYS[10] -- list of "number end": passes given back; "number end 1": passes that lost their seats
local ADOPTED = KEYS[11] -- list of "incarnation first count base seed": provisional tickets with numbers; the seed only of those drawn
local UNCONFIRMED = KEYS[12] -- passes that have not come back, by when they were given; numbers of 16 digits
local ARRIVED = KEYS[13] -- hash: id of an arrival that came back -> its number, or "round sequence"
local ARRIVALS = KEYS[14] -- list of "id end": when each of them is forgotten
local ADMITTED = KEYS[15] -- renewed passes, by when they were first given
local CLAIMED = 16 -- KEYS from here on, one for each segment: bit n: ticket base + n was claimed or given up

local call, floor, min, max = redis.call, math.floor, math.min, math.max

local function clamp(x, low, high)
  return max(low, min(x, high))
end

-- An integer below 2^53, and a double, as texts that lose nothing.
local function int(n)
  return string.format('%.0f', n)
end

-- A number below 2^53 so that texts are in the order of numbers.
local function wide(n)
  return string.format('%016.0f', n)
end

local function real(x)
  return string.format('%.17g', x)
end

-- Calls a command with many arguments, a thousand at a time.
local function each(command, key, args)
  for from = 1, #args, 1000 do
    call(command, key, unpack(args, from, min(from + 999, #args)))
  end
end

-- The words of a text, as numbers.
local function words(text)
  local list = {}
  for word in string.gmatch(text, '%S+') do
    list[#list + 1] = tonumber(word)
  end
  return list
end

-- Arguments ---------------------------------------------------------------------------------------

local asked = cmsgpack.unpack(ARGV[1])
local rules, batch = asked.rules, asked.batch
local seen, restored = batch.seen, batch.restore
local now, server = asked.now, asked.server -- tests only: a gateway leaves them to the server
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end
-- The time of day, and the rules that are due by it: policy/src/event.rs.
local utc = max(tonumber(call('HGET', LINE, 'utc') or 0), now, seen.utc)
for _, later in ipairs(rules.scheduled or {}) do
  rules = later.from <= utc and later.rules or rules
end
local rate, burst, seats = rules.rate, rules.burst, rules.total_active_users
local session, max_session = rules.session, rules.max_session
local open, enforced, lends = rules.open, rules.enforced, rules.lends
local visits = { rate = rules.visits, asked = batch.visits, given = 0 } -- requests that only look
local gateway, shop_rests = int(batch.gateway), batch.shop_rests
local arrivals, claims, renewals = batch.arrivals, batch.claims, batch.renewals

local unlimited = open and not enforced

