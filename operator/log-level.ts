// The level of the logs of what the operator starts: the chart's, which is the operator's own.

/** Environment variable that every program of ours reads. */
export const LOG_LEVEL_VARIABLE = 'ENXAME_LOG_LEVEL';
