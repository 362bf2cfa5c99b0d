from gracehttp.net cimport system_calls


cpdef bint take_short_turns()
cpdef bint take_usual_turns()
