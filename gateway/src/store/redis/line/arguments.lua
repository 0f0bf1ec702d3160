-- One transition of one line: `Line::apply` of policy/src/line.rs, its drain and its repair, said again in Lua.
--
-- The same arithmetic on the same doubles in the same order: every answer equals that of the Rust
-- code, and gateway/tests/line/redis_store.rs holds the two against each other. Whoever changes one
-- changes both; why things are so is told there. The script is these files, one behind the other:
-- arguments, state, lease, repair, drain, line.
--
-- What a line costs here does not depend on who waits: claimants are kept by differences, so a
-- call works on what its batch changes. What is absent: any key that is not in KEYS.

local LINE = KEYS[1] -- hash: counters, segments, bucket, drain, doubt
local CAME = KEYS[2] -- numbers of recent cohorts whose holders came
local ACTIVE = KEYS[3] -- live passes by their end
local HERE = KEYS[4] -- claimants who wait at a gateway now, by number
local NAMED_BY = KEYS[5] -- the same, by gateway
local GONE = KEYS[6] -- claimants who were let go without a token, by when they were last named
local GATEWAYS = KEYS[7] -- gateways by the time of their last batch
local SETTLED = KEYS[8] -- list of "from to time": cohorts until their claim window ends
local REVOKED = KEYS[9] -- list of "number end": passes given back; "number end 1": passes that lost their seats
local ADOPTED = KEYS[10] -- list of "run first count base": provisional tickets with numbers
local UNCONFIRMED = KEYS[11] -- passes that have not come back, by when they were given; numbers of 16 digits
local ARRIVED = KEYS[12] -- hash: id of an arrival that came back -> its number
local ARRIVALS = KEYS[13] -- list of "id end": when each of them is forgotten
local ADMITTED = KEYS[14] -- passes that were renewed, by when they had been given
local CLAIMED = 15 -- KEYS from here on, one for each segment: bit n: ticket base + n was claimed or given up

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

local at = 0
local function text()
  at = at + 1
  return ARGV[at]
end

-- A number; nil for an empty text.
local function number()
  return tonumber(text())
end

local function texts()
  local list = {}
  for i = 1, number() do
    list[i] = text()
  end
  return list
end

local now, server = number(), number() -- tests only: a gateway leaves them to the server
local rate, burst, seats = number(), number(), number()
local session, claim_window, form_grace, max_session = number(), number(), number(), number()
local open, enforced, lends = number() == 1, number() == 1, number() == 1
local visits = { rate = number(), asked = number(), given = 0 } -- those who only look
local gateway, revocations_seen = text(), number()
local shop_rests = number() == 1
local joins, joins_if_called = number(), number()
local adopt_run, adopt_first, adopt_count = text(), number(), number()
local arrivals = texts() -- id of each, and 1 if it wants a number only if that is called
local claims, releases, confirmed = texts(), texts(), texts()
local renewals = texts() -- number of each, and when its pass was given

-- What the gateway says of its lease; no share: it has none.
local held = { share = number(), seats = number(), spent = number() }

-- What the gateway has seen: the furthest of each segment, and the last answer.
local seen = {
  opened = number(), granted = number(), active = number(), now = number(), gateways = number(),
  segments = texts(), -- base, next, serving of each
  adopted = texts(), -- as in ADOPTED
}
-- What it gives back: number and end of passes that live, that were given back, and that were given under a lease;
-- first number and bits of claims.
local restored = { passes = texts(), revoked = texts(), lent = texts(), claimed = texts() }
local gives_more = number() == 1 -- and more of it comes with the next batch

local unlimited = open and not enforced

