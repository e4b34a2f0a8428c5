/* SPDX-License-Identifier: MIT */
/*
 * The site's routes and the functions that answer them, one file a resource;
 * the first comment of a file says what it answers.
 */
#ifndef FCGI_ROUTES_H
#define FCGI_ROUTES_H

#include "fcgi/route.h"

/* All routes, in the order of the search; the last one's pattern is NULL. */
extern const struct route routes[];

/* How long a request's body may be on this route, in bytes. */
long routes_body_max(const struct route *route);

/* checkout.c */
route_handler checkout_post;

/* payment.c */
route_handler payment_post;
route_handler payment_post_signed;
route_handler payment_get;

/* product.c */
route_handler product_get;
route_handler product_restock;

/* orders.c */
route_handler orders_get;
route_handler orders_get_one;

/* view.c */
route_handler view_get;
route_handler view_get_order;
route_handler view_get_payment;

/* monitor.c: 404 unless --machine-room */
route_handler monitor_get_processes;
route_handler monitor_get_workflow;

/* crash.c: 404 unless --allow-crash */
route_handler crash_all;
route_handler crash_web;
route_handler crash_executor;
route_handler crash_database;
route_handler crash_everything;

/* operator.c: 404 unless --operator-token-file */
route_handler operator_get_workflows;
route_handler operator_get_workflow;
route_handler operator_get_refunds;
route_handler operator_cancel;
route_handler operator_resume;
route_handler operator_fork;

/* health.c */
route_handler health_get;
route_handler health_get_ready;

/* metrics.c */
route_handler metrics_get;

#endif
