-- Leases the slots of one tenant: the places in which its requests may be in flight at once, over all workers.
--
-- A worker tells with every call how many of its slots hold a request and how many lie idle: numbers, and not changes.
-- So a call that was lost takes nothing with it, a server that lost its memory learns what is in use from the next call,
-- and a worker that tells nothing any more loses its slots at the end of its lease.
--
-- KEYS     1: the tenant's slots
-- ARGV[1]  JSON [asker, call, limit, used, idle, urgent, extra, life, patience]
--            asker     a number of the asking worker's own     call    of its calls, rising
--            limit     of all workers together                 used    of its slots, those that hold a request
--            idle      those that it holds besides, and keeps  urgent  slots that requests are waiting for
--            extra     slots wanted beyond them                life    microseconds for which all of them are leased
--            patience  microseconds after which it asks again when it was refused
-- Returns  [now, held, free, spare, short]
--            now    this server's clock, microseconds          held    the slots that the asker may use from now on
--            free   those that it may ask for                  spare   idle slots that it may well have
--            short  of the others, those that want and have less

local IDLE_PART = 3 -- of what is not in use, for all workers to have idle: the others are for whoever asks first
local REMEMBERED = 1000000 -- microseconds in which one that was refused counts as one of those who want slots
local KEPT_FOR = 2 -- times the patience of one that was refused, in which a slot that comes free is kept for it

local LAST, CORRECTION, ENTRIES = 1, 2, 3
local HELD, ENDS, CALL, REFUSED, WANTS, SIZE = 1, 2, 3, 4, 5, 6 -- of an entry, after its asker

local asker, call, limit, used, idle, urgent, extra, life, patience = unpack(cjson.decode(ARGV[1]))
local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed) or {0, 0, {}}

-- A clock that was set back must not keep the slots of the dead: it is corrected by the step thereafter.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local correction = state[CORRECTION]
if now + correction < state[LAST] then correction = state[LAST] - now end
now = now + correction

local entries, kept = state[ENTRIES], {}
local others, askers, refused, contested = 0, 1, 0, false
for at = 1, #entries, SIZE do
  if entries[at] == asker then
    if entries[at + CALL] >= call then return {now, entries[at + HELD], 0, 0, 0} end -- overtaken by a later call
    refused = entries[at + REFUSED]
  elseif entries[at + ENDS] > now then
    others, askers = others + entries[at + HELD], askers + 1
    contested = contested or entries[at + REFUSED] > now - REMEMBERED
    for offset = 0, SIZE - 1 do kept[#kept + 1] = entries[at + offset] end
  end
end

local held = used + math.max(0, math.min(idle, limit - others - used))

-- Whoever has none, or clearly less, goes first: else one that is asked without a pause, and so uses at once what comes
-- free there, would keep everything for ever.
local short = 0
for at = 1, #kept, SIZE do
  local less = kept[at + HELD] < math.max(held - 1, math.min(held, 1))
  if less and kept[at + WANTS] > now then short = short + 1 end
end

local function free() return limit - others - held - short end

local granted = math.max(0, math.min(urgent, free()))
held = held + granted
if granted < urgent then refused = now end
local wants = granted < urgent and now + KEPT_FOR * patience or 0

-- Ahead of need only where slots abound: one that lies idle here is missed where a request is refused.
local spare = math.max(0, math.floor((limit - others - used) / (IDLE_PART * askers)))
if others + held <= limit / 2 then spare = math.max(1, spare) end
if contested or refused > now - REMEMBERED then spare = 0 end
if askers == 1 then spare = math.floor(limit / 4) end -- nobody misses them
held = held + math.max(0, math.min(extra, spare, math.floor(free() / 2)))

if held > 0 or refused > now - REMEMBERED then
  for _, each in ipairs({asker, held, now + (held > 0 and life or REMEMBERED), call, refused, wants}) do
    kept[#kept + 1] = each
  end
end
if #kept > 0 then
  redis.call('SET', KEYS[1], cmsgpack.pack({now, correction, kept}), 'PX', math.ceil(life / 1000) + 1000)
else
  redis.call('DEL', KEYS[1])
end

-- Where more are in use than may be (a limit was lowered, or this server lost its memory) nobody begins anything before
-- enough has ended.
local usable = math.max(0, math.min(held, limit - others))
return {now, usable, free(), spare, short}
