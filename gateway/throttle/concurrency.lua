-- Leases the concurrency permits of one tenant: one for each of its requests in flight, over all workers.
--
-- Every call reports how many permits the worker uses and how many are idle: totals, not changes. So a lost call loses
-- nothing, a server that lost its memory learns from the next call what is in use, and a worker that reports no more
-- loses its permits at the end of its lease.
--
-- KEYS     1: the tenant's permits
-- ARGV[1]  JSON [worker, call, limit, used, idle, urgent, extra, ttl, pause]
--            worker  id of the calling worker                     call    sequence number of its calls
--            limit   of all workers together                      used    its permits held by requests
--            idle    its other permits, which it keeps            urgent  permits that requests wait for
--            extra   further permits wanted ahead of need         ttl     microseconds of the lease
--            pause   microseconds until it calls again after a refusal
-- ARGV[2]  if present, nothing is stored: the reply says what the call would be leased
-- Returns  [now, held, free, idle_target, short]
--            now     this server's clock, microseconds            held    permits that the worker may use from now on
--            free    permits that it may still request            idle_target  idle permits that it may keep
--            short   other workers that want permits and have fewer

local IDLE_FRACTION = 3 -- of the unused permits, that all workers may keep idle; the rest goes to the first to ask
local CONTEST = 1000000 -- microseconds for which a refused worker counts as one that wants permits
local RESERVE_FACTOR = 2 -- times the pause of a refused worker, for which a freed permit is reserved for it

local LAST, CORRECTION, ENTRIES = 1, 2, 3
local HELD, ENDS, CALL, REFUSED, WANTS, SIZE = 1, 2, 3, 4, 5, 6 -- offsets in an entry, after the worker's id

local worker, call, limit, used, idle, urgent, extra, ttl, pause = unpack(cjson.decode(ARGV[1]))
local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed) or {0, 0, {}}

-- A clock that was set back must not keep the permits of dead workers: the step is added to it from then on.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local correction = state[CORRECTION]
if now + correction < state[LAST] then correction = state[LAST] - now end
now = now + correction

local entries, kept = state[ENTRIES], {}
local others, workers, refused, contested = 0, 1, 0, false
for at = 1, #entries, SIZE do
  if entries[at] == worker then
    if entries[at + CALL] >= call then return {now, entries[at + HELD], 0, 0, 0} end -- a later call arrived first
    refused = entries[at + REFUSED]
  elseif entries[at + ENDS] > now then
    others, workers = others + entries[at + HELD], workers + 1
    contested = contested or entries[at + REFUSED] > now - CONTEST
    for offset = 0, SIZE - 1 do kept[#kept + 1] = entries[at + offset] end
  end
end

local held = used + math.max(0, math.min(idle, limit - others - used))

-- A worker that has no permits, or clearly fewer, takes precedence: otherwise a worker under constant load would reuse
-- every permit that it frees, and keep them all for ever.
local short = 0
for at = 1, #kept, SIZE do
  local less = kept[at + HELD] < math.max(held - 1, math.min(held, 1))
  if less and kept[at + WANTS] > now then short = short + 1 end
end

local function free() return limit - others - held - short end

local granted = math.max(0, math.min(urgent, free()))
held = held + granted
if granted < urgent then refused = now end
local wants = granted < urgent and now + RESERVE_FACTOR * pause or 0

-- Idle permits only while there are plenty: elsewhere a request may be refused for want of one.
local idle_target = math.max(0, math.floor((limit - others - used) / (IDLE_FRACTION * workers)))
if others + held <= limit / 2 then idle_target = math.max(1, idle_target) end
if contested or refused > now - CONTEST then idle_target = 0 end
if workers == 1 then idle_target = math.floor(limit / 4) end -- no other worker needs them
held = held + math.max(0, math.min(extra, idle_target, math.floor(free() / 2)))

if held > 0 or refused > now - CONTEST then
  for _, each in ipairs({worker, held, now + (held > 0 and ttl or CONTEST), call, refused, wants}) do
    kept[#kept + 1] = each
  end
end
if not ARGV[2] then
  if #kept > 0 then
    redis.call('SET', KEYS[1], cmsgpack.pack({now, correction, kept}), 'PX', math.ceil(ttl / 1000) + 1000)
  else
    redis.call('DEL', KEYS[1])
  end
end

-- Where more permits are in use than allowed (the limit was lowered, or this server lost its memory), no request begins
-- before enough have ended.
local usable = math.max(0, math.min(held, limit - others))
return {now, usable, free(), idle_target, short}
