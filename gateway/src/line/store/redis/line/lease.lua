-- Leases ------------------------------------------------------------------------------------------

-- Called by other parts. The rest is in a block: a script has 200 local names at most.
local unknown_lenders, hear_of_lease, lose_leases, advance_leases, aside, lent_seats, lend,
  told_leases
do

local SILENT, KEPT, HOLD = 800, LEASE_KEPT, 0.1
local asking, held = batch.gateway, batch.lease

local function hold(share)
  return share > 0 and 1 + HOLD * share or 0
end

-- The index of this gateway's lease, and whether it has one.
local function lease_at()
  for i, lease in ipairs(leases) do
    if lease.gateway >= asking then
      return i, lease.gateway == asking
    end
  end
  return #leases + 1, false
end

local function put_lease(lease)
  local i, known = lease_at()
  if known then
    leases[i] = lease
  else
    table.insert(leases, i, lease)
  end
end

-- Gateways that may hold leases unknown to the line, after a loss.
function unknown_lenders()
  return max(s.lenders_before - s.lenders_told, 0)
end

function hear_of_lease()
  local i, is_known = lease_at()
  local known = is_known and leases[i]
  if known and seen.now < known.heard then
    return
  end
  if not held or (not known and s.lenders_unknown_for == 0) then
    if known then
      table.remove(leases, i)
    end
    return
  end
  if not known then
    s.lenders_told = s.lenders_told + 1
  end
  local lease = { gateway = asking, share = held.lease.share, seats = held.lease.seats or 0 }
  lease.left, lease.heard, lease.spent = known and known.left or KEPT, seen.now, held.spent and 1 or 0
  if known and known.heard == seen.now then
    lease.share, lease.seats = known.share, known.seats
  end
  put_lease(lease)
end

function lose_leases()
  s.lenders_before = max(s.lenders_before, #leases + unknown_lenders())
  leases = {}
  s.lenders_told, s.lenders_unknown_for = 0, KEPT
end

function advance_leases(elapsed, unseated)
  local given = 0
  for i = #leases, 1, -1 do
    leases[i].left = max(leases[i].left - elapsed, 0)
    if leases[i].left == 0 then
      given = given + table.remove(leases, i).seats
    end
  end
  s.lenders_unknown_for = max(s.lenders_unknown_for - elapsed, 0)
  if s.lenders_unknown_for == 0 then
    if unknown_lenders() > 0 then
      given = given + floor(((unseated or 0) + 1) / 2)
    end
    s.lenders_before, s.lenders_told = 0, 0
  end
  if given > 0 then
    s.missing, s.missing_until = s.missing + given, now + session
  end
end

local function shares()
  local sum = 0
  for _, lease in ipairs(leases) do
    sum = sum + lease.share
  end
  return sum
end

-- The part reserved for others at this moment: speed, and room in the bucket.
function aside()
  local share, held_back = 0, 0
  for _, lease in ipairs(leases) do
    if lease.spent == 1 or now >= lease.heard + SILENT then
      share, held_back = share + lease.share, held_back + hold(lease.share)
    end
  end
  local unknown = unknown_lenders()
  if unknown > 0 then
    local rest = max(rate - shares(), 0)
    share, held_back = share + rest, held_back + unknown + HOLD * rest
  end
  return share, held_back
end

function lent_seats()
  if unknown_lenders() > 0 then
    return math.huge
  end
  local sum = 0
  for _, lease in ipairs(leases) do
    sum = sum + lease.seats
  end
  return sum
end

local function offer(unseated)
  local gateways, share, held_back, lent = 1, 0, 0, 0
  for _, lease in ipairs(leases) do
    if lease.gateway ~= asking then
      gateways, share = gateways + 1, share + lease.share
      held_back, lent = held_back + hold(lease.share), lent + lease.seats
    end
  end
  local fair = max(min(rate / gateways, rate - share), 0)
  local room = burst - held_back - (gateways > 1 and 1 or 0)
  local half = unseated and floor(unseated / 2)
  local offered = half and min(floor(half / gateways), max(half - lent, 0))
  return hold(fair) <= room and fair or 0, offered
end

-- The offer to the gateway of this batch.
function lend(unseated)
  local i, known = lease_at()
  local own = known and leases[i] or { share = 0, seats = 0, heard = now, spent = 0 }
  local share, offered = own.share, unseated and own.seats
  if unknown_lenders() == 0 then
    share, offered = offer(unseated)
  end
  local lease = { gateway = asking, share = max(own.share, share), seats = max(own.seats, offered or 0) }
  lease.left, lease.heard, lease.spent = KEPT, own.heard, own.spent
  put_lease(lease)
  return { share = share, seats = offered }
end

function told_leases()
  local parts = {}
  for _, lease in ipairs(leases) do
    local text = { int(lease.gateway), real(lease.share), int(lease.seats), int(lease.left), int(lease.heard), int(lease.spent) }
    parts[#parts + 1] = table.concat(text, ' ')
  end
  return table.concat(parts, ' ')
end

end

