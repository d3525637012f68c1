// The word by which our trackers know our own client: it keeps to any interval, where foreign clients have least ones of
// 5 to 10 minutes. It is a hint for intervals and gives no right. Other trackers pass it over (BEP 3).

/** The parameter of an announce's query. */
export const CLIENT_PARAMETER = 'client';

/** Its value. */
export const OWN_CLIENT = 'enxame';

/** What the query of an announce says of us. */
export const CLIENT_WORD = `${CLIENT_PARAMETER}=${OWN_CLIENT}`;
