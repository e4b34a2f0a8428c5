/* SPDX-License-Identifier: MIT */
/*
 * The site's routes, and the functions that answer them: one file a resource.
 */
#ifndef FCGI_ROUTES_H
#define FCGI_ROUTES_H

#include "fcgi/route.h"

/* Ended by a NULL pattern. */
extern const struct route routes[];

/* checkout.c: buys a widget, once per key. */
route_handler checkout_post;

/* payment.c: what the payment provider says of a payment. */
route_handler payment_post;
route_handler payment_get;

/* product.c */
route_handler product_get;
route_handler product_restock;

/* orders.c */
route_handler orders_get;
route_handler orders_get_one;

/* view.c: what the page asks again and again. */
route_handler view_get;
route_handler view_get_order;
route_handler view_get_payment;

/* monitor.c: what there is to watch, when that is allowed. */
route_handler monitor_get_processes;
route_handler monitor_get_workflow;

/* crash.c: what a demonstration may break, when that is allowed. */
route_handler crash_all;
route_handler crash_web;
route_handler crash_executor;
route_handler crash_database;
route_handler crash_everything;

/* health.c */
route_handler health_get;
route_handler health_get_ready;

/* metrics.c */
route_handler metrics_get;

#endif
